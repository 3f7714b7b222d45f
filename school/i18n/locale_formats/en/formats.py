"""English formats: the short ones, in lists, are like the long ones, in pages. Django's are numbers like 07/01/2026."""

SHORT_DATE_FORMAT = "M j, Y"
SHORT_DATETIME_FORMAT = "M j, Y, P"
