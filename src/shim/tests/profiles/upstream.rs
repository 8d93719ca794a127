//! The application behind a server that is none itself: a slow HTTP server in the test's own process.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use crate::{
    client::WHOLE,
    site::{PATIENCE, Site},
};

/// Starts it at the site's address for it.
pub(crate) fn start(site: &Site) {
    let listener = TcpListener::bind(site.upstream()).unwrap();
    let files = [site.begun(), site.released()].map(PathBuf::from);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let files = files.clone();
            // A proxy that hangs up is what some tests are about.
            thread::spawn(move || drop(answer(stream, &files)));
        }
    });
}

fn answer(mut stream: TcpStream, [begun, released]: &[PathBuf; 2]) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let slow = lines.next().transpose()?.is_some_and(|line| line.contains("/slow"));
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let (first, second) = WHOLE.split_at(WHOLE.len() / 2);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", WHOLE.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(first.as_bytes())?;
    if slow {
        fs::write(begun, "")?;
        let deadline = Instant::now() + PATIENCE;
        while !released.exists() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
    }
    stream.write_all(second.as_bytes())
}
