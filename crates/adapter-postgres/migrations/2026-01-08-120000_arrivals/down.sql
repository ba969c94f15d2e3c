drop table b24sync.arrivals;
