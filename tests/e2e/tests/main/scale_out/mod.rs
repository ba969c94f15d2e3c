//! Three instances behind nginx, over PgBouncer in transaction mode, with the files of `deploy/`: one schedules, all take
//! events in, they share the portal's limits, and none of them is missed when it stops, dies, stands still or loses the
//! database.

mod balancer;
mod cluster;
mod crossing;
mod load;
mod lost_leader;
mod partition;
mod pooler;
mod ports;
mod rolling;
mod together;

pub(crate) use ports::fixed_port;
