"""
Personal data of students: export, erasure and retention.

See docs/privacy.md.
"""

from students.privacy.erase import ErasureResult, erase, erasure_blockers
from students.privacy.export import collect_personal_data
from students.privacy.person_lookup import Person, find_person, person_of

__all__ = ["ErasureResult", "Person", "collect_personal_data", "erase", "erasure_blockers", "find_person", "person_of"]
