"""A day at the firm on the sandbox: what a person does in EspoCRM, and whether everything ends where it belongs."""
