//! Certificates that change while the server runs.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use fermata::{
    telemetry::{Conditions, Metrics},
    tls::files::{PairFiles, PairWatch},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use crate::{
    client::{Client, SetAtEnd, Trust, eventually},
    fixture::{Served, Setup, ready},
    process::{Process, scratch},
    reviews::{drain, plain},
};

/// A certificate and key as PEM, by an authority that lasts.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut params);
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// A folder that changes as the kubelet changes a Secret volume.
pub(crate) struct Volume {
    folder: PathBuf,
    generation: u32,
}

impl Volume {
    pub(crate) fn new(folder: PathBuf, certificate: &str, key: &str) -> Self {
        let mut volume = Self { folder, generation: 0 };
        volume.write(certificate, key);
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), volume.folder.join(name)).unwrap();
        }
        volume
    }

    pub(crate) fn write(&mut self, certificate: &str, key: &str) {
        self.generation += 1;
        let name = format!("..{}", self.generation);
        let content = self.folder.join(&name);
        fs::create_dir(&content).unwrap();
        fs::write(content.join("tls.crt"), certificate).unwrap();
        fs::write(content.join("tls.key"), key).unwrap();
        symlink(&name, self.folder.join("..data_tmp")).unwrap();
        fs::rename(self.folder.join("..data_tmp"), self.folder.join("..data")).unwrap();
        let old = self.folder.join(format!("..{}", self.generation - 1));
        let _ = fs::remove_dir_all(old);
    }

    pub(crate) fn files(&self) -> PairFiles {
        PairFiles { certificate: self.folder.join("tls.crt"), key: self.folder.join("tls.key") }
    }
}

fn serve(volume: &Volume, authority: &Authority) -> Served {
    let metrics = Arc::new(Metrics::default());
    let conditions = Conditions::default();
    let watch = PairWatch::start(volume.files(), Arc::clone(&metrics)).unwrap();
    let trust = Trust::in_authorities([authority.pem().as_str()]);
    let certificate = Some((watch.holder(), trust));
    let tls = Arc::clone(&conditions.tls);
    let served = Setup { metrics, conditions, certificate, ..Setup::default() }.serve();
    served.runtime.as_ref().unwrap().spawn(watch.run(Duration::from_millis(5), tls));
    served
}

fn reloads(served: &Served, result: &str) -> u64 {
    served.metric(&format!("fermata_certificate_reloads_total{{result=\"{result}\"}}"))
}

fn leaf(served: &Served) -> Vec<u8> {
    served.client().stream.conn.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn a_change_under_load_fails_no_review() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue(|_| {});
    let mut volume = Volume::new(scratch(), &certificate, &key);
    let served = serve(&volume, &authority);
    let stop = AtomicBool::new(false);
    let answered = AtomicU64::new(0);
    thread::scope(|scope| {
        for keeps_connection in [true, true, false, false] {
            let (served, stop, answered) = (&served, &stop, &answered);
            scope.spawn(move || {
                let mut client = served.client();
                while !stop.load(Ordering::Relaxed) {
                    if !keeps_connection {
                        client = Client::connect(served.address, &served.trust).unwrap();
                    }
                    assert_eq!(drain(&client.review(&plain()).unwrap()), Some(15));
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _stop = SetAtEnd(&stop);
        for change in 1..=10 {
            let before = (leaf(&served), answered.load(Ordering::Relaxed));
            let (certificate, key) = authority.issue(|_| {});
            volume.write(&certificate, &key);
            eventually("the new certificate is served", || leaf(&served) != before.0);
            eventually("the change is counted", || reloads(&served, "ok") == change);
            eventually("reviews go on", || answered.load(Ordering::Relaxed) > before.1);
        }
    });
}

#[test]
fn a_pair_that_does_not_match_keeps_the_old_one_until_it_does() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue(|_| {});
    let mut volume = Volume::new(scratch(), &certificate, &key);
    let served = serve(&volume, &authority);
    let first = leaf(&served);
    let (new_certificate, new_key) = authority.issue(|_| {});
    // Of a pair of its own: what is read of one pair and the next, in the middle of a change, must not match by chance.
    let (cut_certificate, cut_key) = authority.issue(|_| {});

    let broken = [
        (new_certificate.as_str(), key.as_str()),
        ("", ""),
        ("garbage", &key),
        (&new_certificate, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        (&cut_certificate[..cut_certificate.len() / 2], &cut_key),
    ];
    for (count, (certificate, key)) in (1..).zip(broken) {
        volume.write(certificate, key);
        eventually("it is counted", || reloads(&served, "failed") == count);
        assert_eq!(leaf(&served), first);
    }
    assert_eq!(drain(&served.client().review(&plain()).unwrap()), Some(15));

    volume.write(&new_certificate, &new_key);
    eventually("the pair that matches is served", || leaf(&served) != first);
    assert_eq!((reloads(&served, "ok"), reloads(&served, "failed")), (1, 5), "each once");
}

#[test]
fn an_expired_certificate_is_not_ready_until_it_is_replaced() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue(|params| params.not_after = date_time_ymd(2020, 1, 1));
    let mut volume = Volume::new(scratch(), &certificate, &key);
    let served = serve(&volume, &authority);
    eventually("it is seen", || ready(served.admin).1.contains("[-]tls failed: the certificate has expired"));
    assert!(!ready(served.admin).0);
    assert_eq!(served.metric("fermata_certificate_expiry_timestamp_seconds"), 1_577_836_800);
    let (certificate, key) = authority.issue(|_| {});
    volume.write(&certificate, &key);
    eventually("it is well again", || ready(served.admin).0);
}

/// Waits for a line of the log.
fn logged(log: &mpsc::Receiver<String>, said: &str) -> String {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let line = log.recv_timeout(until.saturating_duration_since(Instant::now()));
        let line = line.unwrap_or_else(|_| panic!("nothing is logged of {said}"));
        if line.contains(said) {
            return line;
        }
    }
}

/// Whatever renews it elsewhere has stopped to.
#[test]
fn a_certificate_that_expires_while_it_runs_is_warned_of_and_then_not_ready() {
    let authority = Authority::new();
    let lifetime = Duration::from_secs(6);
    // Backdated, as authorities do; the last third is then the last two seconds.
    let (certificate, key) = authority.issue(|params| {
        let now = SystemTime::now();
        (params.not_before, params.not_after) = ((now - lifetime).into(), (now + lifetime).into());
    });
    let mut volume = Volume::new(scratch(), &certificate, &key);
    let (process, lines) = Process::start_with_files(&volume.files(), &authority.pem());
    let (line, log) = mpsc::channel();
    thread::spawn(move || lines.map_while(Result::ok).try_for_each(|text| line.send(text)));
    assert!(ready(process.admin).0);
    assert_eq!(drain(&process.client().review(&plain()).unwrap()), Some(15));
    let warning = logged(&log, "the certificate expires soon and should have been renewed by now");
    assert!(warning.contains(r#""level":"WARN""#), "{warning}");
    assert!(ready(process.admin).0, "there is time left");
    let error = logged(&log, "the certificate has expired, and API servers refuse it; replace it");
    assert!(error.contains(r#""level":"ERROR""#), "{error}");
    let (is_ready, page) = ready(process.admin);
    assert!(!is_ready && page.contains("[-]tls failed: the certificate has expired; replace it"), "{page}");
    let (certificate, key) = authority.issue(|_| {});
    volume.write(&certificate, &key);
    logged(&log, "the certificate has changed");
    eventually("it is well again", || ready(process.admin).0);
}

#[test]
fn at_the_start_a_broken_pair_ends_the_program_with_the_reason() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue(|_| {});
    let (_, other_key) = authority.issue(|_| {});
    for (certificate, key, reason) in [
        (certificate.as_str(), other_key.as_str(), "the key is not the certificate's"),
        ("", key.as_str(), "holds no certificate as PEM; check --tls-cert"),
        (&certificate, "garbage", "holds no private key as PEM; check --tls-key"),
    ] {
        let volume = Volume::new(scratch(), certificate, key);
        let files = volume.files();
        let output = Process::fails(&[
            "--tls-cert",
            files.certificate.to_str().unwrap(),
            "--tls-key",
            files.key.to_str().unwrap(),
        ]);
        assert!(output.contains(reason), "{output}");
    }
    let output = Process::fails(&["--tls-cert", "/nowhere/tls.crt", "--tls-key", "/nowhere/tls.key"]);
    assert!(output.contains("cannot read the certificate /nowhere/tls.crt"), "{output}");
}
