-- What the owner runs: the list of clinics, and demo data. Never on a request.

-- name: list_clinics()
-- All clinics by name.
-- returns: many
select c.id, c.name, c.time_zone, c.region, c.locale from public.clinic as c order by c.id;

-- name: add_clinic(id, name, time_zone, region, locale)
-- A demo clinic, once.
-- returns: rows
insert into public.clinic (id, name, time_zone, region, locale)
values (:id, :name, :time_zone, :region, :locale)
on conflict do nothing;

-- name: add_staff(clinic_id, id, subject, name, role)
-- A member of staff, once.
-- returns: rows
insert into public.staff (clinic_id, id, subject, name, role)
values (:clinic_id, :id, :subject, :name, :role)
on conflict do nothing;

-- name: next_number(clinic_id)
-- The number of the next made-up patient of a clinic: theirs are the record numbers of six digits.
-- returns: one
select coalesce(max(substr(p.mrn, 5)::integer) - 100000 + 1, 0) from public.patient as p
where p.clinic_id = :clinic_id and p.mrn ~ '^MRN-1[0-9]{5}$';

-- name: create_staging()
-- Where COPY may write.
-- returns: rows
create temporary table staged_patient (
    id uuid, contact_id uuid, insurance_id uuid, number integer, mrn text, student_number text, given_name text, middle_name text, family_name text,
    date_of_birth date, sex text, status text, grade text, phone text, email text, address text
);

-- name: copy_staging()
-- People, one row each.
-- returns: rows
copy staged_patient (
    id, contact_id, insurance_id, number, mrn, student_number, given_name, middle_name, family_name, date_of_birth, sex, status, grade, phone,
    email, address
) from stdin;

-- name: add_staged_patients(clinic_id)
-- The staged people as patients of a clinic.
-- returns: rows
insert into public.patient (
    clinic_id, id, mrn, student_number, given_name, middle_name, family_name, date_of_birth, sex, status, grade,
    phone, phone_e164, email, address
)
select
    :clinic_id, s.id, s.mrn, s.student_number, s.given_name, s.middle_name, s.family_name, s.date_of_birth, s.sex,
    s.status, s.grade, s.phone, s.phone, s.email, s.address
from staged_patient as s;

-- name: add_staged_contacts(clinic_id)
-- Someone to call for three in five.
-- returns: rows
insert into public.emergency_contact (
    clinic_id, id, patient_id, position, name, relationship, phone, phone_e164
)
select
    :clinic_id, s.contact_id, s.id, 1, case when s.sex = 'male' then 'Mary ' else 'James ' end || s.family_name,
    case when s.grade is null then 'spouse' else 'parent' end, s.phone, s.phone
from staged_patient as s
where s.number % 5 < 3;

-- name: add_staged_insurance(clinic_id)
-- Insurance for every second.
-- returns: rows
insert into public.insurance (clinic_id, id, patient_id, position, payer, member_number, valid_from)
select :clinic_id, s.insurance_id, s.id, 1, 'Example Health Plan', 'M' || (s.number + 1000000), date '2024-01-01'
from staged_patient as s
where s.number % 2 = 0;

-- name: empty_staging()
-- Make room for the next batch.
-- returns: rows
truncate staged_patient;

-- name: drop_staging()
-- Leave nothing behind in the session.
-- returns: rows
drop table staged_patient;
