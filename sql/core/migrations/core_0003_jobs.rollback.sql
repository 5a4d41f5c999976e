drop table cito.jobs;
