-- Named queries of the patients plugin.

-- name: find_clinic(clinic_id)
-- The caller's clinic: what its conventions decide about phones and dates.
-- target: 2 ms
-- returns: one
-- example: select id as clinic_id from public.clinic limit 1
select c.id, c.name, c.time_zone, c.region, c.locale from public.clinic as c where c.id = :clinic_id;

-- name: find_clinic_metadata(clinic_id)
-- The clinic with its patients by status, and when one last came or changed.
-- target: 5 ms
-- returns: one
-- example: select clinic_id from patient limit 1
select
    c.id, c.name, c.time_zone, c.region, c.locale,
    coalesce((
        select json_object_agg(n.status, n.patients) from public.patient_count as n where n.clinic_id = c.id
    ), '{}'::json) as patients,
    (select max(p.created_at) from public.patient as p where p.clinic_id = c.id) as last_registered_at,
    (select max(p.updated_at) from public.patient as p where p.clinic_id = c.id) as last_changed_at
from public.clinic as c
where c.id = :clinic_id;

-- name: list_patients(clinic_id, status, skip, take)
-- One page of a clinic's patients by name, with the number of all (1,001: more than the cap).
-- target: 20 ms
-- returns: many
-- example: select clinic_id, 'active' as status, 0 as skip, 20 as take from patient limit 1
select f.id, f.tier, f.score, f.matched, f.total
from public.find_patient_page(
    :clinic_id, '{}', null, 0, :status, 1001, :skip::integer, :take::integer
) as f
order by f.place;

-- name: search_patients_by_name(clinic_id, words, status, skip, take)
-- One page of a search for a name, best match first, with the number of all that match.
-- target: 50 ms
-- returns: many
-- example: select clinic_id, array['jonh', 'smiht'] as words, 'active' as status, 0 as skip, 20 as take from patient limit 1
select f.id, f.tier, f.score, f.matched, f.total
from public.find_patient_page(
    :clinic_id, :words::text [], null, 0, :status, 1001, :skip::integer, :take::integer
) as f
order by f.place;

-- name: search_patients(clinic_id, words, record_id, code, number, phone_e164, phone_digits, email, born, number_born, parts, status, skip, take)
-- One page of a search for numbers, phone, e-mail or birth date, and perhaps a name as well.
-- target: 20 ms
-- returns: many
-- example: select clinic_id, array[]::text[] as words, id as record_id, 's1' as code, '0123' as number, null as phone_e164, '0123' as phone_digits, 'a@' as email, date '1980-03-14' as born, null::date as number_born, 6 as parts, 'active' as status, 0 as skip, 20 as take from patient limit 1
select f.id, f.tier, f.score, f.matched, f.total
from public.find_patient_page(
    :clinic_id, :words::text [],
    row(:record_id, :code, :number, :phone_e164, :phone_digits, :email, :born, :number_born)
        ::public.patient_criteria,
    :parts::integer, :status, 1001, :skip::integer, :take::integer
) as f
order by f.place;

-- name: find_patient(clinic_id, id)
-- A patient's profile, whole.
-- target: 5 ms
-- returns: one
select p.patient from public.patient_profile as p where p.clinic_id = :clinic_id and p.id = :id;

-- name: find_patients_by_ids(clinic_id, ids)
-- The profiles of several patients; ids that are not there are left out.
-- target: 10 ms
-- returns: many
select p.id, p.patient from public.patient_profile as p where p.clinic_id = :clinic_id and p.id = any(:ids::uuid []);

-- name: find_successor(clinic_id, id)
-- The record that a merged one became.
-- target: 5 ms
-- returns: one
select s.id
from public.patient as p
join public.patient as s on s.clinic_id = p.clinic_id and s.id = p.merged_into
where p.clinic_id = :clinic_id and p.id = :id and p.deleted_at is null and s.deleted_at is null;

-- name: find_known_patient(clinic_id, id)
-- The id of a patient's record now: the one that it was merged into, or its own.
-- target: 5 ms
-- returns: one
select coalesce(s.id, p.id) as id
from public.patient as p
left join public.patient as s on s.clinic_id = p.clinic_id and s.id = p.merged_into
where p.clinic_id = :clinic_id and p.id = :id and p.deleted_at is null and s.deleted_at is null;

-- name: lock_patient(clinic_id, id)
-- A patient's version, held until the end of the transaction.
-- target: 5 ms
-- returns: one
select p.version, p.merged_into from public.patient as p
where p.clinic_id = :clinic_id and p.id = :id and p.deleted_at is null
for update;

-- name: add_patient(clinic_id, id, mrn, student_number, given_name, middle_name, family_name, date_of_birth, sex, status, grade, phone, phone_e164, phone_extension, email, address)
-- A new patient; without a record number, the next free one.
-- target: 10 ms
-- returns: rows
-- example: select clinic_id, gen_random_uuid() as id, 'Example 1' as mrn, null as student_number, given_name, middle_name, family_name, date_of_birth, sex, status, grade, phone, phone_e164, phone_extension, email, address from patient limit 1
insert into public.patient (
    clinic_id, id, mrn, student_number, given_name, middle_name, family_name, date_of_birth, sex, status, grade,
    phone, phone_e164, phone_extension, email, address
) values (
    :clinic_id, :id, coalesce(:mrn, 'MRN-' || nextval('public.patient_record_number')), :student_number,
    :given_name, :middle_name, :family_name, :date_of_birth, :sex, :status, :grade,
    :phone, :phone_e164, :phone_extension, :email, :address
);

-- name: change_patient(clinic_id, id, version, mrn, student_number, given_name, middle_name, family_name, date_of_birth, sex, status, grade, phone, phone_e164, phone_extension, email, address)
-- Write a patient's own fields, if nobody else has since `version`.
-- target: 10 ms
-- returns: rows
update public.patient as p
set
    mrn = :mrn, student_number = :student_number, given_name = :given_name, middle_name = :middle_name,
    family_name = :family_name, date_of_birth = :date_of_birth, sex = :sex, status = :status, grade = :grade,
    phone = :phone, phone_e164 = :phone_e164, phone_extension = :phone_extension, email = :email,
    address = :address, version = p.version + 1, updated_at = now()
where p.clinic_id = :clinic_id and p.id = :id and p.version = :version
    and p.deleted_at is null and p.merged_into is null;

-- name: delete_patient(clinic_id, id, version)
-- Take a patient out of every list; the record stays.
-- target: 10 ms
-- returns: rows
update public.patient as p
set deleted_at = now(), version = p.version + 1, updated_at = now()
where p.clinic_id = :clinic_id and p.id = :id and p.version = :version
    and p.deleted_at is null and p.merged_into is null;

-- name: merge_patients(clinic_id, survivor, duplicate)
-- Move everything of the duplicate to the survivor; its id leads there from now on.
-- target: 100 ms
-- returns: rows
-- example: select a.clinic_id, a.id as survivor, b.id as duplicate from patient as a join patient as b on b.clinic_id = a.clinic_id and b.id > a.id where a.merged_into is null and b.merged_into is null limit 1
select public.merge_patients(:clinic_id, :survivor, :duplicate);

-- name: clear_emergency_contacts(clinic_id, patient_id)
-- All people to call for a patient, before others are written.
-- target: 5 ms
-- returns: rows
delete from public.emergency_contact as e where e.clinic_id = :clinic_id and e.patient_id = :patient_id;

-- name: add_emergency_contacts(clinic_id, patient_id, contacts)
-- The people to call, in the order given.
-- target: 5 ms
-- returns: rows
-- example: select clinic_id, id as patient_id, '[]' as contacts from patient limit 1
insert into public.emergency_contact (
    clinic_id, id, patient_id, position, name, relationship, phone, phone_e164, phone_extension, email
)
select
    :clinic_id, c.id, :patient_id, c.position, c.name, c.relationship, c.phone, c.phone_e164, c.phone_extension, c.email
from jsonb_to_recordset(:contacts::jsonb) as c (
    id uuid, position smallint, name text, relationship text, phone text, phone_e164 text, phone_extension text,
    email text
);

-- name: clear_insurance(clinic_id, patient_id)
-- All insurance of a patient, before other is written.
-- target: 5 ms
-- returns: rows
delete from public.insurance as i where i.clinic_id = :clinic_id and i.patient_id = :patient_id;

-- name: add_insurance(clinic_id, patient_id, policies)
-- Who pays, in the order given.
-- target: 5 ms
-- returns: rows
-- example: select clinic_id, id as patient_id, '[]' as policies from patient limit 1
insert into public.insurance (
    clinic_id, id, patient_id, position, payer, member_number, group_number, valid_from, valid_to
)
select
    :clinic_id, i.id, :patient_id, i.position, i.payer, i.member_number, i.group_number, i.valid_from, i.valid_to
from jsonb_to_recordset(:policies::jsonb) as i (
    id uuid, position smallint, payer text, member_number text, group_number text, valid_from date, valid_to date
);
