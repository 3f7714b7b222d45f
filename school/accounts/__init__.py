"""
Staff accounts: logins, lockout and sessions, and a second factor and single sign-on by django-allauth if switched on.
"""
