//! The experiment behind Fermata: what becomes of requests when Pods end, on a real node, without Fermata and with it.
//!
//! Each cell has three replicas of an application behind a Service and a proxy, gets 200 requests a second at times that
//! are fixed ahead, and has its Pods replaced, evicted or scaled away meanwhile. Every answer is checked.

pub mod app;
pub mod cell;
pub mod endings;
pub mod ledger;
pub mod load;
pub mod logs;
mod picture;
mod priority;
pub mod proxy;
mod quotes;
pub mod report;
pub mod run;
pub mod stage;
pub mod summary;
