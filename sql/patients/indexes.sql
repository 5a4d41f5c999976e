-- Indexes of the patients plugin: built concurrently by `cito indexes apply`, each proved by a plan.

-- name: patient_name_terms
create index concurrently patient_name_terms on public.patient_name using gin (terms) with (fastupdate = off);

-- name: name_vocabulary_deletions
create index concurrently name_vocabulary_deletions on public.name_vocabulary
using gin (deletions) with (fastupdate = off);

-- name: name_vocabulary_trigrams
create index concurrently name_vocabulary_trigrams on public.name_vocabulary
using gin (clinic_id, word public.gin_trgm_ops) with (fastupdate = off);

-- name: name_vocabulary_sound
create index concurrently name_vocabulary_sound on public.name_vocabulary (clinic_id, sound);

-- name: patient_birth_date
create index concurrently patient_birth_date on public.patient_name (clinic_id, date_of_birth);

-- name: patient_status_name
create index concurrently patient_status_name on public.patient_name (clinic_id, status, sort_key, patient_id);

-- name: patient_mrn_digits
create index concurrently patient_mrn_digits on public.patient (clinic_id, mrn_digits);

-- name: patient_student_number
create index concurrently patient_student_number on public.patient (clinic_id, student_key)
where student_key is not null;

-- name: patient_phone_suffix
create index concurrently patient_phone_suffix on public.patient (clinic_id, phone_reversed)
where phone_reversed is not null;

-- name: patient_email
create index concurrently patient_email on public.patient (clinic_id, email_key)
where email_key is not null;

-- name: patient_created
create index concurrently patient_created on public.patient (clinic_id, created_at);

-- name: patient_updated
create index concurrently patient_updated on public.patient (clinic_id, updated_at);

-- name: patient_merged_into
create index concurrently patient_merged_into on public.patient (clinic_id, merged_into)
where merged_into is not null;
