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
