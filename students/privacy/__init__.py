"""Personal data of students: export, erasure and retention. See docs/privacy.md."""

from students.privacy.erase import Erased, erase, objections
from students.privacy.export import everything_on
from students.privacy.identity import Person, find_person, person_of

__all__ = ["Erased", "Person", "erase", "everything_on", "find_person", "objections", "person_of"]
