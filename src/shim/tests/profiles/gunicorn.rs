//! Gunicorn.

use fermata_stop_plan::Signal;

use crate::{
    client::get,
    installed::python,
    server::{Late, Server, words},
    site::Site,
};

const WORKERS: usize = 2;

const GUNICORN: Server = Server {
    profile: "gunicorn",
    command,
    ask: |site, page| get(site.address(), page),
    // One that is about to begin has no ears yet, and the master waits for it as long as for a request.
    is_settled: |site| site.log().matches("loaded by a worker").count() == WORKERS,
    late: Late::Unanswered,
    ends: "app exited with 0",
};

fn command(site: &Site) -> Vec<String> {
    let (begun, released) = (site.begun(), site.released());
    let text = format!(
        "import os, sys, time
print('loaded by a worker', file=sys.stderr, flush=True)
def app(environ, start_response):
    start_response('200 OK', [('Content-Length', '24')])
    yield b'first half, '
    if environ['PATH_INFO'] == '/slow':
        open('{begun}', 'w').close()
        while not os.path.exists('{released}'):
            time.sleep(0.01)
    yield b'second half\\n'
"
    );
    site.write("app.py", &text);
    let (program, folder, address) = (python("gunicorn").unwrap(), site.text(""), site.address().to_string());
    let program = program.to_str().unwrap();
    let control = site.text("control");
    words(&[
        program,
        "--chdir",
        &folder,
        "--bind",
        &address,
        "--workers",
        &WORKERS.to_string(),
        "--timeout",
        "120",
        "--control-socket",
        &control,
        "app:app",
    ])
}

#[test]
fn gunicorn_finishes_requests() {
    GUNICORN.finishes_requests();
}

#[test]
fn gunicorn_loses_requests_by_quit() {
    GUNICORN.loses_requests(&[], &[Signal::QUIT]);
}
