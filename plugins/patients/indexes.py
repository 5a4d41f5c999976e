"""The declared indexes: each with the search that reads it and the reason why that is worth its writes.

The searches read them inside `find_patients`, where no plan shows them: `cito indexes verify` counts their scans.
Not built, because no plan used them: full text over names (word equality is what searches need, and the word table
has it in order), trigrams over whole names (the vocabulary has them, at a hundredth of the size).
"""

from __future__ import annotations

from cito.core.declarations import Index

_NAME = ("search_patients_by_name",)
_FACT = ("search_patients",)

INDEXES = (
    Index(
        name="patient_name_terms",
        table="patient_name",
        serves=_NAME,
        because="Names of several words: an intersection of word lists instead of reading one of them.",
    ),
    Index(
        name="name_vocabulary_deletions",
        table="name_vocabulary",
        serves=_NAME,
        because="Typing errors: words one or two errors away share a deletion (SymSpell); trigrams miss swaps.",
    ),
    Index(
        name="name_vocabulary_trigrams",
        table="name_vocabulary",
        serves=_NAME,
        because="Parts of words and distant spellings, over the clinic's different words only.",
    ),
    Index(
        name="name_vocabulary_sound",
        table="name_vocabulary",
        serves=_NAME,
        because="Words that sound alike.",
    ),
    Index(
        name="patient_birth_date",
        table="patient_name",
        serves=_FACT,
        because="A birth date alone or with a name.",
    ),
    Index(
        name="patient_status_name",
        table="patient_name",
        serves=("list_patients",),
        because="(clinic, status, family, given, birth date, id): the list of a clinic in its order, cap first.",
    ),
    Index(
        name="patient_mrn_digits",
        table="patient",
        serves=_FACT,
        because="A record number without its letters; the whole number has its uniqueness constraint's index.",
    ),
    Index(
        name="patient_student_number",
        table="patient",
        serves=_FACT,
        because="A student number, of merged records too.",
    ),
    Index(
        name="patient_phone_suffix",
        table="patient",
        serves=_FACT,
        because="The last digits of a phone: a prefix of the number read from its end.",
    ),
    Index(
        name="patient_email",
        table="patient",
        serves=_FACT,
        because="An e-mail address or its beginning; families share one, so it is not unique.",
    ),
    Index(
        name="patient_created",
        table="patient",
        serves=("find_clinic_metadata",),
        because="When the last patient was registered: one step from the end.",
    ),
    Index(
        name="patient_updated",
        table="patient",
        serves=("find_clinic_metadata",),
        because="When a patient last changed: one step from the end.",
    ),
    Index(
        name="patient_merged_into",
        table="patient",
        serves=("merge_patients",),
        because="Who was merged into a record that is merged now: else each merge reads the whole clinic.",
    ),
)
