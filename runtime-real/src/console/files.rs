//! The console's files, which are a part of the program: nothing is read from a disk, or from anywhere else.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A file's name, type and content.
type File = (&'static str, &'static str, &'static [u8]);

const CSS: &str = "text/css; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! file {
    ($name:literal, $kind:expr) => {
        ($name, $kind, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/console/", $name)))
    };
}

const FILES: &[File] = &[
    file!("api.js", JS),
    file!("chart.js", JS),
    file!("clients.js", JS),
    file!("cluster.js", JS),
    file!("command.js", JS),
    file!("console.css", CSS),
    file!("dom.js", JS),
    file!("format.js", JS),
    file!("health.js", JS),
    file!("icon.svg", SVG),
    file!("index.html", HTML),
    file!("keyboard.js", JS),
    file!("keys.js", JS),
    file!("main.js", JS),
    file!("nodes.js", JS),
    file!("overview.js", JS),
    file!("page.js", JS),
    file!("picture.js", JS),
    file!("reply.js", JS),
    file!("settings.js", JS),
    file!("slowlog.js", JS),
    file!("stream.js", JS),
    file!("theme.js", JS),
    file!("timeline.js", JS),
    file!("users.js", JS),
    file!("viewer.js", JS),
    file!("words.js", JS),
];

/// The page itself.
pub(super) async fn page() -> Response {
    file(Path("index.html".to_owned())).await
}

/// A file by its name.
pub(super) async fn file(Path(wanted): Path<String>) -> Response {
    match FILES.iter().find(|(name, ..)| *name == wanted) {
        // Asked for anew each time: after an upgrade the old ones would not fit the new API.
        Some((_, kind, content)) => {
            ([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "no-cache")], *content).into_response()
        }
        None => (StatusCode::NOT_FOUND, "there is no such file of the console\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served_and_names_no_other_host() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/console")).expect("the folder");
        let mut there: Vec<String> =
            folder.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        let mut served: Vec<&str> = FILES.iter().map(|(name, ..)| *name).collect();
        there.sort_unstable();
        served.sort_unstable();
        assert_eq!(there, served);
        for (name, _, content) in FILES {
            let text = String::from_utf8_lossy(content).replace("http://www.w3.org", "");
            assert!(!text.contains("http://") && !text.contains("https://"), "{name}");
        }
    }
}
