"""Personal data of students: export, erasure and retention. See docs/privacy.md."""

from students.privacy.erasing import Erased, erase, objections
from students.privacy.held import everything_on
from students.privacy.person import Person, find_person, person_of

__all__ = ["Erased", "Person", "erase", "everything_on", "find_person", "objections", "person_of"]
