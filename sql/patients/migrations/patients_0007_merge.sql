-- Two records of one person become one. Whatever has a foreign key (clinic_id, <column>) to patient moves along:
-- the key itself says that its rows belong to a patient, so a plugin declares nothing else. Left where they are:
-- tables that the caller may not update, such as an audit, which keeps the id that was true when it was written.
create function public.merge_patients(clinic uuid, survivor uuid, duplicate uuid) returns void
language plpgsql
set search_path = pg_catalog, public
as $$
declare
    reference record;
begin
    for reference in
        select c.conrelid::regclass as owner, a.attname as member
        from pg_constraint as c
        join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = c.conkey[2]
        where c.contype = 'f' and c.confrelid = 'public.patient'::regclass and cardinality(c.conkey) = 2
            and c.conrelid not in ('public.emergency_contact'::regclass, 'public.insurance'::regclass)
            and has_column_privilege(c.conrelid, a.attname, 'update')
        order by 1, 2
    loop
        execute format(
            'update %s set %I = $1 where clinic_id = $2 and %I = $3', reference.owner, reference.member, reference.member
        ) using survivor, clinic, duplicate;
    end loop;

    -- Lists are joined, the survivor's first.
    update public.emergency_contact as e
    set patient_id = survivor, position = e.position + coalesce((
        select max(k.position) from public.emergency_contact as k
        where k.clinic_id = clinic and k.patient_id = survivor
    ), 0)
    where e.clinic_id = clinic and e.patient_id = duplicate;
    update public.insurance as i
    set patient_id = survivor, position = i.position + coalesce((
        select max(k.position) from public.insurance as k where k.clinic_id = clinic and k.patient_id = survivor
    ), 0)
    where i.clinic_id = clinic and i.patient_id = duplicate;

    update public.patient as d
    set merged_into = survivor, version = d.version + 1, updated_at = now()
    where d.clinic_id = clinic and d.id = duplicate;

    -- What the survivor does not know, the duplicate may.
    update public.patient as s
    set
        student_number = coalesce(s.student_number, d.student_number),
        given_name = coalesce(nullif(s.given_name, ''), d.given_name),
        middle_name = coalesce(nullif(s.middle_name, ''), d.middle_name),
        date_of_birth = coalesce(s.date_of_birth, d.date_of_birth),
        sex = case when s.sex = 'unknown' then d.sex else s.sex end,
        grade = coalesce(s.grade, d.grade),
        phone = case when s.phone is null then d.phone else s.phone end,
        phone_e164 = case when s.phone is null then d.phone_e164 else s.phone_e164 end,
        phone_extension = case when s.phone is null then d.phone_extension else s.phone_extension end,
        email = coalesce(s.email, d.email),
        address = coalesce(s.address, d.address),
        version = s.version + 1,
        updated_at = now()
    from public.patient as d
    where s.clinic_id = clinic and s.id = survivor and d.clinic_id = clinic and d.id = duplicate;
end
$$;
