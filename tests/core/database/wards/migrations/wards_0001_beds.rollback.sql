drop table beds;
drop table wards;
drop function note_ward;
