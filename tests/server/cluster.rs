//! What comes from the cluster, with an API server that says what the test wants.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    client::eventually,
    fixture::{metric, ready},
    process::{Process, scratch},
    reviews::{drain, patch, plain, review, warnings},
};

/// What the API server knows.
#[derive(Default)]
struct World {
    /// Annotations of `shop`, if it is listed by its label.
    listed: Option<BTreeMap<String, String>>,
    /// The same for whoever asks for it by name; with the label or without it.
    asked: Option<(bool, BTreeMap<String, String>)>,
    minor: u32,
    refuses: bool,
    gets: u32,
    watches: Vec<TcpStream>,
}

/// A few paths of an API server, over plain HTTP.
struct ApiServer {
    world: Arc<Mutex<World>>,
    address: SocketAddr,
}

impl ApiServer {
    fn start(world: World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let world = Arc::new(Mutex::new(world));
        let shared = Arc::clone(&world);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        Self { world, address }
    }

    fn kubeconfig(&self) -> PathBuf {
        let path = scratch().join("kubeconfig");
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "c", "cluster": { "server": format!("http://{}", self.address) } }],
            "users": [{ "name": "u", "user": {} }],
            "contexts": [{ "name": "x", "context": { "cluster": "c", "user": "u" } }],
            "current-context": "x",
        });
        fs::write(&path, config.to_string()).unwrap();
        path
    }

    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.world.lock().unwrap())
    }
}

fn namespace(labelled: bool, annotations: &BTreeMap<String, String>) -> Value {
    let labels = if labelled { json!({ "fermata.dev/inject": "enabled" }) } else { json!({}) };
    json!({
        "apiVersion": "meta.k8s.io/v1",
        "kind": "PartialObjectMetadata",
        "metadata": { "name": "shop", "labels": labels, "annotations": annotations, "resourceVersion": "5" },
    })
}

fn serve(mut stream: TcpStream, world: &Mutex<World>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap().to_owned();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        let mut world = world.lock().unwrap();
        let (status, body) = if world.refuses {
            (
                500,
                json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "away", "code": 500 }),
            )
        } else if path == "/version" {
            let minor = world.minor.to_string();
            let info = json!({ "major": "1", "minor": minor, "gitVersion": "v1", "gitCommit": "", "gitTreeState": "",
                "buildDate": "", "goVersion": "", "compiler": "", "platform": "" });
            (200, info)
        } else if path.contains("watch=true") {
            assert!(path.contains("labelSelector=fermata.dev%2Finject%3Denabled"), "{path}");
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            world.watches.push(stream);
            return;
        } else if path.starts_with("/api/v1/namespaces?") {
            let items: Vec<_> = world.listed.iter().map(|annotations| namespace(true, annotations)).collect();
            let list = json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
                "metadata": { "resourceVersion": "5" }, "items": items });
            (200, list)
        } else if path.starts_with("/api/v1/namespaces/shop") {
            world.gets += 1;
            match &world.asked {
                Some((labelled, annotations)) => (200, namespace(*labelled, annotations)),
                None => (
                    404,
                    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404 }),
                ),
            }
        } else {
            panic!("nobody should ask for {path}");
        };
        drop(world);
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all([head, body].concat().as_bytes()).is_err() {
            return;
        }
    }
}

fn annotations(drain: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("fermata.dev/drain".to_owned(), drain.to_owned())])
}

fn start(api: &ApiServer, options: &[&str]) -> Process {
    let kubeconfig = api.kubeconfig();
    Process::start(&[&["--kubeconfig", kubeconfig.to_str().unwrap()], options].concat())
}

fn drained(process: &Process) -> Option<u64> {
    drain(&process.client().review(&plain()).unwrap())
}

#[test]
fn namespaces_are_followed_and_last_known_when_the_watch_is_lost() {
    let api = ApiServer::start(World { listed: Some(annotations("40s")), minor: 33, ..World::default() });
    let process = start(&api, &[]);
    eventually("the list is known", || ready(process.admin).1.contains("[+]namespaces ok"));
    assert_eq!(drained(&process), Some(40));
    assert_eq!(metric(process.admin, "fermata_namespaces"), 1);
    assert_eq!(metric(process.admin, "fermata_namespaces_synced"), 1);
    assert_eq!(api.change(|world| world.gets), 0, "what is watched is not asked for");

    eventually("it watches", || api.change(|world| !world.watches.is_empty()));
    let event =
        json!({ "type": "MODIFIED", "object": namespace(true, &annotations("41s")) }).to_string() + "\n";
    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
    api.change(|world| world.watches[0].write_all(chunk.as_bytes()).unwrap());
    eventually("the change counts", || drained(&process) == Some(41));

    api.change(|world| {
        world.refuses = true;
        for watch in world.watches.drain(..) {
            watch.shutdown(std::net::Shutdown::Both).unwrap();
        }
    });
    eventually("the loss is seen", || ready(process.admin).1.contains("[-]namespaces degraded"));
    assert!(ready(process.admin).0);
    assert_eq!(drained(&process), Some(41));

    api.change(|world| {
        world.refuses = false;
        world.listed = Some(annotations("42s"));
    });
    eventually("it is followed again", || drained(&process) == Some(42));
    eventually("and says so", || ready(process.admin).1.contains("[+]namespaces ok"));
}

#[test]
fn a_namespace_that_the_watch_does_not_know_is_asked_for_once() {
    let api =
        ApiServer::start(World { asked: Some((true, annotations("33s"))), minor: 33, ..World::default() });
    let process = start(&api, &[]);
    eventually("the list is known", || ready(process.admin).1.contains("[+]namespaces ok"));
    assert_eq!(drained(&process), Some(33));
    assert_eq!(drained(&process), Some(33));
    assert_eq!(api.change(|world| world.gets), 1);
}

#[test]
fn a_namespace_without_the_label_is_left_alone() {
    let api =
        ApiServer::start(World { asked: Some((false, annotations("33s"))), minor: 33, ..World::default() });
    let process = start(&api, &[]);
    let answer = process.client().review(&plain()).unwrap();
    assert!(patch(&answer).is_empty());
    assert_eq!(metric(process.admin, "fermata_reviews_total{outcome=\"not-opted-in\"}"), 1);
}

#[test]
fn a_namespace_that_has_just_got_the_label_counts_within_a_moment() {
    let api =
        ApiServer::start(World { asked: Some((false, annotations("33s"))), minor: 33, ..World::default() });
    let process = start(&api, &[]);
    assert_eq!(drained(&process), None);
    api.change(|world| world.asked = Some((true, annotations("33s"))));
    // That a Namespace has the label is believed for 3 s, and that it has none for 0.3 s.
    thread::sleep(Duration::from_secs(1));
    assert_eq!(drained(&process), Some(33));
}

#[test]
fn a_name_that_no_namespace_has_is_not_asked_for() {
    let api =
        ApiServer::start(World { asked: Some((true, annotations("33s"))), minor: 33, ..World::default() });
    let process = start(&api, &[]);
    for name in ["shop/pods", "shop?watch=1", "..", &"s".repeat(64)] {
        let body = review(|review| review["request"]["namespace"] = name.into());
        assert_eq!(drain(&process.client().review(&body).unwrap()), Some(15), "{name}");
    }
    assert_eq!(api.change(|world| world.gets), 0);
}

#[test]
fn what_cannot_be_asked_leaves_the_config_file() {
    let api = ApiServer::start(World { refuses: true, ..World::default() });
    let config = scratch().join("config.yaml");
    fs::write(&config, "defaults: { drain: 21s }").unwrap();
    let process = start(&api, &["--config", config.to_str().unwrap(), "--server-version", "1.33"]);
    assert_eq!(drained(&process), Some(21));
    eventually("it is said", || ready(process.admin).1.contains("[-]namespaces degraded"));
    assert!(ready(process.admin).0);
    assert!(metric(process.admin, "fermata_namespace_lookup_failures_total") > 0);
}

#[test]
fn an_api_server_that_is_away_does_not_stop_reviews() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    // Connections are taken by the kernel, and never answered.
    let api = ApiServer { world: Arc::default(), address: nobody.local_addr().unwrap() };
    let process = start(&api, &[]);
    assert!(ready(process.admin).0);
    let answer = process.client().review(&plain()).unwrap();
    assert_eq!(drain(&answer), None, "a server that may be old gets no native sleep");
    assert!(warnings(&answer)[0].contains("API servers below 1.30"), "{:?}", warnings(&answer));
    eventually("it is said", || ready(process.admin).1.contains("--server-version says it without asking"));
    assert!(ready(process.admin).0);

    let process = start(&api, &["--server-version", "1.30"]);
    assert_eq!(drained(&process), Some(15));
}

#[test]
fn the_last_known_version_stays_when_the_api_server_goes_away() {
    let api = ApiServer::start(World { refuses: true, ..World::default() });
    let process = start(&api, &[]);
    assert_eq!(drained(&process), None);
    api.change(|world| (world.refuses, world.minor) = (false, 33));
    eventually("it has answered", || ready(process.admin).1.contains("[+]version ok"));
    api.change(|world| world.refuses = true);
    assert_eq!(drained(&process), Some(15));
}

#[test]
fn a_proxy_in_the_environment_is_for_others() {
    let api = ApiServer::start(World { listed: Some(annotations("40s")), minor: 33, ..World::default() });
    for proxy in ["http://127.0.0.1:1", "no proxy at all"] {
        let kubeconfig = api.kubeconfig();
        let options = ["--kubeconfig", kubeconfig.to_str().unwrap()];
        let process = Process::start_with(&options, &[("HTTPS_PROXY", proxy), ("https_proxy", proxy)]);
        eventually("the list is known", || ready(process.admin).1.contains("[+]namespaces ok"));
    }
}

#[test]
fn an_old_api_server_gets_no_native_sleep() {
    let api = ApiServer::start(World { listed: Some(annotations("40s")), minor: 29, ..World::default() });
    let process = start(&api, &[]);
    assert_eq!(drained(&process), None, "from the first review on");
    let process = start(&api, &["--server-version", "1.30"]);
    eventually("the list is known", || ready(process.admin).1.contains("[+]namespaces ok"));
    assert_eq!(drained(&process), Some(40));
}

#[test]
fn its_own_namespace_is_left_alone() {
    let process = Process::start(&["--own-namespace", "fermata"]);
    let body = review(|review| review["request"]["namespace"] = "fermata".into());
    assert!(patch(&process.client().review(&body).unwrap()).is_empty());
    assert_eq!(drained(&process), Some(15));
}
