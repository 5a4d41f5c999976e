drop view public.patient_profile;
drop table public.insurance;
drop table public.emergency_contact;
drop table public.patient;
drop sequence public.patient_record_number;
