"""Sample data of an invented German law firm: matters, parties and real files, the same for the same seed."""
