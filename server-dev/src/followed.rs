//! The file of services, as a value of [`hot_reload`]: what it says by now, or why that can't be taken.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use hot_reload::{
    ReloaderOptions, ReloaderReceiver, ReloaderService, Status, StatusReceiver, TomlFile,
};
use tokio_util::task::AbortOnDropHandle;

use crate::{config::Config, failure::Failure, services::check};

/// The file, while it is followed.
pub(crate) struct Followed {
    path: PathBuf,
    config: ReloaderReceiver<Config, String>,
    status: StatusReceiver,
    /// The last that was taken.
    generation: u64,
    /// Why the file as it is can't be taken, once that is told.
    refused: Option<Arc<str>>,
    _following: AbortOnDropHandle<()>,
}

/// What was edited.
#[derive(Debug)]
pub(crate) enum FileEdit {
    Taken(Config),
    Refused {
        reason: String,
        line: Option<usize>,
        column: Option<usize>,
    },
    /// The file says again what was taken last.
    Mended,
}

impl Followed {
    pub(crate) fn begin(path: &Path) -> Result<Self, Failure> {
        let file = TomlFile::<Config>::from_path(path)?;
        let (service, config) = ReloaderService::from_reloader(file, ReloaderOptions::hybrid());
        let named = path.to_owned();
        let service = service.validate(move |config: &Config, _| {
            let config = config.clone().of_file(&named).map_err(|error| error.to_string())?;
            check(&config)
        });
        let following = AbortOnDropHandle::new(tokio::spawn(async move {
            // It goes on until it is dropped.
            let _ = service.start_with_realtime().await;
        }));
        Ok(Self {
            path: path.to_owned(),
            status: config.watch_status(),
            config,
            generation: 0,
            refused: None,
            _following: following,
        })
    }

    /// Waits for an edit; the first result is the file as it is first read.
    ///
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> FileEdit {
        loop {
            let status = self.status.get();
            if let Some(edit) = self.edit(status) {
                return edit;
            }
            if self.status.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn edit(&mut self, status: Status) -> Option<FileEdit> {
        if status.generation != self.generation {
            self.generation = status.generation;
            self.refused = None;
            // It has passed before it was published.
            return self.config.get()?.of_file(&self.path).ok().map(FileEdit::Taken);
        }
        if status.last_error == self.refused {
            return None;
        }
        self.refused.clone_from(&status.last_error);
        let Some(reason) = status.last_error else { return Some(FileEdit::Mended) };
        let at = status.last_error_at;
        Some(FileEdit::Refused {
            reason: reason.to_string(),
            line: at.as_ref().and_then(|at| at.line),
            column: at.and_then(|at| at.column),
        })
    }
}
