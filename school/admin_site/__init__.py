"""The admin site: theme, navigation, the rows that limited staff may see, deletion, and forms that are out of date."""
