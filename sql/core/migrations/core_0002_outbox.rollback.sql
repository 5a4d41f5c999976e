drop table cito.outbox;
