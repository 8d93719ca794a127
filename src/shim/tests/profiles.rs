//! Each profile against the server that it is for: a request is held open, the runtime's stop signal comes, and the
//! request is answered whole all the same.
//!
//! A profile makes two claims, and each has its test here: that its signal lets requests finish, and that another one
//! would not. The second one shows that the first can fail. Where a server is not installed, its tests pass without
//! having looked, and `servers_that_are_missing_are_named` says so in one line; with `FERMATA_REQUIRE_ALL=1` it
//! fails. `make peers` installs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "profiles/apache.rs"]
mod apache;
#[path = "profiles/client.rs"]
mod client;
#[path = "profiles/gunicorn.rs"]
mod gunicorn;
#[path = "profiles/haproxy.rs"]
mod haproxy;
#[path = "profiles/installed.rs"]
mod installed;
#[path = "profiles/nginx.rs"]
mod nginx;
#[path = "profiles/node.rs"]
mod node;
#[path = "profiles/passenger.rs"]
mod passenger;
#[path = "profiles/php_fpm.rs"]
mod php_fpm;
#[path = "profiles/postgres.rs"]
mod postgres;
#[path = "profiles/puma.rs"]
mod puma;
#[path = "profiles/rack.rs"]
mod rack;
#[path = "profiles/running.rs"]
mod running;
#[path = "profiles/server.rs"]
mod server;
#[path = "profiles/sidekiq.rs"]
mod sidekiq;
#[path = "profiles/site.rs"]
mod site;
#[path = "harness/skip.rs"]
mod skip;
#[path = "profiles/spring.rs"]
mod spring;
#[path = "profiles/unicorn.rs"]
mod unicorn;
#[path = "profiles/upstream.rs"]
mod upstream;
#[path = "profiles/uvicorn.rs"]
mod uvicorn;
