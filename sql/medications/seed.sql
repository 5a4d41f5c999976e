-- Loads the demo formulary.

-- name: formulary_is_filled()
-- Whether any medicine is there.
-- returns: one
select exists (select from medications) as filled

-- name: copy_formulary()
-- Takes the rows of formulary.tsv. The table has no policy, so COPY needs no staging table.
-- returns: rows
copy medications (id, name, generic_name, dosage_form, strength, manufacturer, ndc, is_controlled) from stdin
