"""Files of the status page: a template and a style sheet, no scripts, nothing from outside."""
