-- The straightforward twins: everything is fetched, and Python folds, matches, ranks and cuts.

-- name: search_medications()
-- The whole formulary.
-- returns: many
select
    id, name, generic_name, dosage_form, strength, manufacturer, ndc, is_controlled,
    0 as active_prescriptions, version
from medications

-- name: suggest_medications()
-- The whole formulary, as far as suggestions show it.
-- returns: many
select id, name, generic_name
from medications
