"""A second factor and single sign-on for staff, by django-allauth: none of it is there where neither is switched on."""
