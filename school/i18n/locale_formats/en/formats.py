"""English formats: the short ones, in lists, are like the long ones; those of Django are numbers like 07/01/2026."""

SHORT_DATE_FORMAT = "M j, Y"
SHORT_DATETIME_FORMAT = "M j, Y, P"
