//! Node, with a handler for TERM and without.

use fermata_stop_plan::Signal;

use crate::{
    client::get,
    server::{Late, Server, words},
    site::Site,
};

const NODE: Server = Server {
    profile: "node",
    command: |site| command(site, "process.on('SIGTERM', () => server.close());"),
    ask: |site, page| get(site.address(), page),
    is_settled: |_| true,
    late: Late::Refused,
    ends: "app exited with 0",
};

fn command(site: &Site, more: &str) -> Vec<String> {
    let (begun, released, address) = (site.begun(), site.released(), site.address());
    let text = format!(
        "const fs = require('fs');
        const server = require('http').createServer((request, response) => {{
            response.writeHead(200, {{'Content-Length': 24}});
            response.write('first half, ');
            const second = () => response.end('second half\\n');
            const wait = () => fs.existsSync('{released}') ? second() : setTimeout(wait, 10);
            if (request.url !== '/slow') return second();
            fs.writeFileSync('{begun}', '');
            wait();
        }});
        server.listen({}, '{}');
        {more}",
        address.port(),
        address.ip()
    );
    words(&["node", &site.write("app.js", &text)])
}

#[test]
fn node_finishes_requests_by_a_handler_for_term() {
    NODE.finishes_requests();
}

#[test]
fn node_loses_requests_without_a_handler() {
    let server = Server { command: |site| command(site, ""), ..NODE };
    server.loses_requests(&["--profile", "node"], &[Signal::TERM]);
}
