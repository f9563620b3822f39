"""BitByLaw Pipeline: keeps EspoCRM, xAI, Advoware and Google Calendar in step."""
