//! Uvicorn, alone and with workers.

use fermata_stop_plan::Signal;

use crate::{
    client::get,
    installed::python,
    server::{Late, Server, words},
    site::Site,
};

const UVICORN: Server = Server {
    profile: "uvicorn",
    command: |site| command(site, "1"),
    ask: |site, page| get(site.address(), page),
    is_settled: |_| true,
    late: Late::Refused,
    ends: "app ended by TERM",
};

fn command(site: &Site, workers: &str) -> Vec<String> {
    let (begun, released) = (site.begun(), site.released());
    let text = format!(
        "import asyncio, os
async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    await send({{'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', b'24')]}})
    await send({{'type': 'http.response.body', 'body': b'first half, ', 'more_body': True}})
    if scope['path'] == '/slow':
        open('{begun}', 'w').close()
        while not os.path.exists('{released}'):
            await asyncio.sleep(0.01)
    await send({{'type': 'http.response.body', 'body': b'second half\\n'}})
"
    );
    site.write("app.py", &text);
    let (program, folder, address) = (python("uvicorn").unwrap(), site.text(""), site.address());
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let program = program.to_str().unwrap();
    words(&[program, "--app-dir", &folder, "--host", &host, "--port", &port, "--workers", workers, "app:app"])
}

#[test]
fn uvicorn_finishes_requests() {
    UVICORN.finishes_requests();
}

#[test]
fn uvicorn_with_workers_finishes_requests() {
    let server = Server { command: |site| command(site, "2"), ends: "app exited with 0", ..UVICORN };
    // Its workers share a socket, which is open until the last of them has ended.
    Server { late: Late::Unanswered, ..server }.finishes_requests();
}

#[test]
fn uvicorn_loses_requests_by_int_after_term() {
    UVICORN.loses_requests(&["--profile", "uvicorn"], &[Signal::TERM, Signal::INT]);
}
