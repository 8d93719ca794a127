//! Where manifests come from: files, folders and standard input.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{
    Fault, Place,
    document::{self, Document},
};

/// The largest input that is read. A whole cluster's Pods fit in. Unit: bytes.
const LARGEST: u64 = 256 << 20;

/// What stands for standard input.
pub(crate) const STDIN: &str = "-";

/// A text with its documents.
#[derive(Debug)]
pub(crate) struct Source {
    /// What to call it: its path, or `<stdin>`.
    pub(crate) name: String,
    /// The text, without its byte order mark.
    pub(crate) text: String,
    /// Whether it began with a byte order mark.
    pub(crate) marked: bool,
    /// Whether it was named, and not just found in a folder. What is found may be something else than a manifest.
    pub(crate) named: bool,
    pub(crate) documents: Vec<Document>,
}

/// Why there is nothing to be had from an input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}:{} {message}", place.map(|place| format!("{place}:")).unwrap_or_default())]
pub(crate) struct SourceError {
    pub(crate) name: String,
    pub(crate) place: Option<Place>,
    pub(crate) message: String,
}

/// All inputs in their order, each with its own fate.
pub(crate) type Sources = Vec<Result<Source, SourceError>>;

/// Reads all inputs: files, folders with everything below them, and `-` for standard input.
pub(crate) fn read(inputs: &[PathBuf]) -> Sources {
    let mut sources = Vec::new();
    for input in inputs {
        if input.as_os_str() == STDIN {
            let name = "<stdin>".to_owned();
            sources.push(content(&mut io::stdin().lock(), &name).and_then(|bytes| source(name, bytes, true)));
        } else if input.is_dir() {
            let found = sources.len();
            Walk { sources: &mut sources, above: Vec::new() }.folder(input);
            if sources.len() == found {
                let message = "there is no *.yaml, *.yml or *.json in this folder";
                sources.push(Err(error(&display(input), None, message)));
            }
        } else {
            sources.push(file(input, true));
        }
    }
    sources
}

/// A walk through a folder, in the order of names.
struct Walk<'s> {
    sources: &'s mut Sources,
    /// The folders on the way down, by their real paths: a link to one of them would never end.
    above: Vec<PathBuf>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path) {
        let entries = fs::canonicalize(folder).and_then(|real| Ok((real, entries(folder)?)));
        let (real, entries) = match entries {
            Ok(found) => found,
            Err(why) => return self.sources.push(Err(error(&display(folder), None, reason(&why)))),
        };
        if self.above.contains(&real) {
            return;
        }
        self.above.push(real);
        for entry in entries {
            if entry.is_dir() {
                self.folder(&entry);
            } else if is_manifest(&entry) {
                self.sources.push(file(&entry, false));
            }
        }
        self.above.pop();
    }
}

/// What a folder holds, sorted. Hidden entries are left out: they belong to tools, and in a mounted `ConfigMap` they
/// are second names of the same files.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    entries.retain(|entry| entry.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b".")));
    entries.sort();
    Ok(entries)
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}

fn file(path: &Path, named: bool) -> Result<Source, SourceError> {
    let name = display(path);
    let bytes = File::open(path)
        .map_err(|why| error(&name, None, reason(&why)))
        .and_then(|mut file| content(&mut file, &name))?;
    source(name, bytes, named)
}

fn content(reader: &mut impl Read, name: &str) -> Result<Vec<u8>, SourceError> {
    let mut bytes = Vec::new();
    reader.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|why| error(name, None, reason(&why)))?;
    if bytes.len() as u64 > LARGEST {
        return Err(error(name, None, "is larger than 256 MiB, which no manifest is"));
    }
    Ok(bytes)
}

fn source(name: String, bytes: Vec<u8>, named: bool) -> Result<Source, SourceError> {
    let (text, marked) = decode(bytes).map_err(|fault| placed(&name, fault))?;
    let documents = match document::read(&text) {
        Ok(documents) => documents,
        Err(mut fault) => {
            if text.contains("{{") {
                fault.message += "; it looks like a Helm template: render it first, as in `helm template CHART | fermata preview -`";
            }
            return Err(placed(&name, fault));
        }
    };
    if named && documents.is_empty() {
        return Err(error(&name, None, "is empty: expected at least one Kubernetes object"));
    }
    Ok(Source { name, text, marked, named, documents })
}

/// The text of bytes, and whether a byte order mark stood before it.
fn decode(bytes: Vec<u8>) -> Result<(String, bool), Fault> {
    let start = Place { line: 1, column: 1 };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Fault::new(start, "this is UTF-16; save it as UTF-8"));
    }
    let text = String::from_utf8(bytes).map_err(|why| {
        let valid = why.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&why.as_bytes()[..valid]);
        Fault::new(Place::of(&before, valid), "this is not UTF-8; save it as UTF-8")
    })?;
    if let Some(nul) = text.find('\0') {
        return Err(Fault::new(Place::of(&text, nul), "there is a NUL byte, so this is no text"));
    }
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => (rest.to_owned(), true),
        None => (text, false),
    })
}

fn error(name: &str, place: Option<Place>, message: impl Into<String>) -> SourceError {
    SourceError { name: name.to_owned(), place, message: message.into() }
}

fn placed(name: &str, fault: Fault) -> SourceError {
    error(name, Some(fault.place), fault.message)
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

fn reason(why: &io::Error) -> String {
    match why.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "cannot be read: permission denied".to_owned(),
        _ => format!("cannot be read: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn text_is_utf_8_with_or_without_a_mark() {
        assert_eq!(decode(b"a: 1".to_vec()), Ok(("a: 1".to_owned(), false)));
        assert_eq!(decode("\u{feff}a: 1".into()), Ok(("a: 1".to_owned(), true)));
        for (bytes, fault) in [
            (&b"\xff\xfea\0"[..], "1:1: this is UTF-16; save it as UTF-8"),
            (b"a: 1\nb: \xc3", "2:4: this is not UTF-8; save it as UTF-8"),
            (b"\x7fELF\x02\0", "1:6: there is a NUL byte, so this is no text"),
        ] {
            assert_eq!(decode(bytes.to_vec()).unwrap_err().to_string(), fault);
        }
    }
}
