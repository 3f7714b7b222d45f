"""
Second factor and single sign-on for staff with django-allauth, which is active only if one of them is switched on.
"""
