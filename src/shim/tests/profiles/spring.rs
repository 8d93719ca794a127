//! A JVM that ends as Spring Boot does: by a shutdown hook, with a web server that it stops.

use std::process::Command;

use fermata_stop_plan::Signal;

use crate::{
    client::get,
    server::{Late, Server, words},
    site::Site,
};

const JVM: Server = Server {
    profile: "spring",
    command: |site| command(site, "Runtime.getRuntime().addShutdownHook(new Thread(() -> server.stop(60)));"),
    ask: |site, page| get(site.address(), page),
    is_settled: |_| true,
    late: Late::Refused,
    ends: "app exited with 143",
};

fn command(site: &Site, more: &str) -> Vec<String> {
    let (begun, released, address) = (site.begun(), site.released(), site.address());
    let text = format!(
        r#"import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.nio.file.*;
import java.util.concurrent.Executors;

public class Application {{
    public static void main(String[] arguments) throws Exception {{
        HttpServer server = HttpServer.create(new InetSocketAddress("{}", {}), 0);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", exchange -> {{
            exchange.sendResponseHeaders(200, 24);
            var body = exchange.getResponseBody();
            body.write("first half, ".getBytes());
            body.flush();
            if (exchange.getRequestURI().getPath().equals("/slow")) {{
                Files.writeString(Path.of("{begun}"), "");
                while (!Files.exists(Path.of("{released}"))) {{
                    try {{ Thread.sleep(10); }} catch (InterruptedException end) {{ return; }}
                }}
            }}
            body.write("second half\n".getBytes());
            exchange.close();
        }});
        {more}
        server.start();
    }}
}}
"#,
        address.ip(),
        address.port()
    );
    let source = site.write("Application.java", &text);
    let folder = site.text("");
    // Short programs are not worth the second compiler nor threads that collect garbage.
    let short = ["-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", "-proc:none"];
    let compiled = Command::new("javac").args(short).args(["-d", &folder, &source]).status().unwrap();
    assert!(compiled.success());
    words(&["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &folder, "Application"])
}

#[test]
fn a_jvm_finishes_requests_by_a_shutdown_hook() {
    JVM.finishes_requests();
}

#[test]
fn a_jvm_loses_requests_without_a_shutdown_hook() {
    let server = Server { command: |site| command(site, ""), ..JVM };
    server.loses_requests(&["--profile", "spring"], &[Signal::TERM]);
}
