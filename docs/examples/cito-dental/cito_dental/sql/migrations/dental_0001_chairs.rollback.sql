drop table dental_chairs;
