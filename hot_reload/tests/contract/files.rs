//! Files with loaders written by hand.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use hot_reload::{
    AsyncFileLoad, FileReloader, RealtimeWatch, Reload, ReloadResult, ReloaderConfig,
    ReloaderError, ReloaderService, WatchEvent,
};
use tokio::time::timeout;

use crate::{PATIENCE, expect};

type MotdService = ReloaderService<FileReloader<Motd>, Motd, String>;

/// A file with both loaders written by hand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Motd(String);

#[derive(Debug, thiserror::Error)]
enum MotdError {
    #[error("can't read: {0}")]
    Io(#[from] std::io::Error),
    #[error("no message")]
    NoMessage,
}

impl Motd {
    fn parse(text: String) -> Result<Self, MotdError> {
        if text.starts_with("motd ") { Ok(Self(text)) } else { Err(MotdError::NoMessage) }
    }
}

impl TryFrom<&PathBuf> for Motd {
    type Error = MotdError;

    fn try_from(path: &PathBuf) -> Result<Self, Self::Error> {
        Self::parse(std::fs::read_to_string(path)?)
    }
}

#[async_trait]
impl AsyncFileLoad for Motd {
    type Error = MotdError;

    async fn async_load_from<T: AsRef<Path> + Send>(path: T) -> Result<Self, Self::Error> {
        let path = path.as_ref().to_path_buf();
        Self::parse(tokio::fs::read_to_string(path).await?)
    }

    fn dependent_paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// An application's own error.
#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("reloader: {0}")]
    Reloader(#[from] ReloaderError<u32>),
    #[error("file reloader: {0}")]
    FileReloader(#[from] ReloaderError<Motd, String>),
}

#[test]
fn errors_are_errors_that_others_can_wrap() {
    fn is_error<E: std::error::Error + Send + Sync + 'static>() {}
    fn fails() -> Result<(), AppError> {
        Err(ReloaderError::Reload("text"))?
    }
    is_error::<ReloaderError<u32>>();
    is_error::<ReloaderError<u32, String>>();
    is_error::<ReloaderError<Motd, String>>();

    assert!(fails().unwrap_err().to_string().contains("text"));
    let wrapped: AppError = ReloaderError::<Motd, String>::from(anyhow::anyhow!("why")).into();
    assert!(wrapped.to_string().contains("why"));
    assert!(format!("{wrapped:?}").contains("Other"));
    let same: ReloadResult<(), u32> = Result::<(), ReloaderError<u32>>::Ok(());
    assert!(same.is_ok());
}

#[test]
fn file_services_are_send_and_sync() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<MotdService>();
    is_send_and_sync::<FileReloader<Motd>>();
}

async fn file_in_all_its_states(config: ReloaderConfig, by_start: bool) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("motd");
    let (service, mut rx) =
        MotdService::new(&path.display().to_string(), config).await.expect("missing is no error");
    let task = tokio::spawn(async move {
        if by_start { service.start().await } else { service.start_with_realtime().await }
    });
    std::fs::write(&path, "motd one").unwrap();
    expect(&mut rx, &Motd("motd one".into())).await;
    std::fs::write(&path, "broken").unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "motd two").unwrap();
    expect(&mut rx, &Motd("motd two".into())).await;
    assert!(!task.is_finished());
}

#[tokio::test]
async fn a_file_by_polling() {
    file_in_all_its_states(ReloaderConfig::polling(1), true).await;
}

#[tokio::test]
async fn a_file_by_polling_through_the_realtime_start() {
    file_in_all_its_states(ReloaderConfig::polling(1), false).await;
}

#[tokio::test]
async fn a_file_in_realtime() {
    file_in_all_its_states(ReloaderConfig::realtime(), false).await;
}

#[tokio::test]
async fn a_file_in_hybrid() {
    file_in_all_its_states(ReloaderConfig::hybrid(5), false).await;
}

#[tokio::test]
async fn a_file_reloader_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("motd");
    let reloader = FileReloader::<Motd>::new(&path.display().to_string()).await.unwrap();
    assert_eq!(reloader.file_path, path);
    assert!(reloader.clone().reload().await.is_err());
    std::fs::write(&path, "motd one").unwrap();
    assert_eq!(reloader.reload().await.unwrap(), Some(Motd("motd one".into())));

    let mut handle = reloader.watch_realtime().await.unwrap();
    let mut newest = Motd::default();
    std::fs::write(&path, "motd two").unwrap();
    let two = timeout(PATIENCE, async {
        while newest.0 != "motd two" {
            if let Some(WatchEvent::Changed(value)) = handle.rx.recv().await {
                newest = value;
            }
        }
    });
    two.await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let removed = timeout(PATIENCE, async {
        while !matches!(handle.rx.recv().await, Some(WatchEvent::Removed)) {}
    });
    removed.await.unwrap();
}

/// A file that includes the one beside it, by a relative path, as 0.3.6 took it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Including(String);

impl TryFrom<&PathBuf> for Including {
    type Error = std::io::Error;

    fn try_from(path: &PathBuf) -> Result<Self, Self::Error> {
        let included = std::fs::read_to_string(path.with_file_name("included"))?;
        Ok(Self(std::fs::read_to_string(path)? + &included))
    }
}

#[async_trait]
impl AsyncFileLoad for Including {
    type Error = std::io::Error;

    async fn async_load_from<T: AsRef<Path> + Send>(path: T) -> Result<Self, Self::Error> {
        Self::try_from(&path.as_ref().to_path_buf())
    }

    fn dependent_paths(&self) -> Vec<PathBuf> {
        vec!["included".into()]
    }
}

#[tokio::test]
async fn a_relative_dependency_is_beside_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("main");
    std::fs::write(&path, "main ").unwrap();
    std::fs::write(dir.path().join("included"), "one").unwrap();
    let (service, mut rx) = ReloaderService::<FileReloader<Including>, Including, String>::new(
        &path.display().to_string(),
        ReloaderConfig::realtime(),
    )
    .await
    .unwrap();
    tokio::spawn(async move { service.start_with_realtime().await });
    expect(&mut rx, &Including("main one".into())).await;
    std::fs::write(dir.path().join("included"), "two").unwrap();
    expect(&mut rx, &Including("main two".into())).await;
}

#[tokio::test]
async fn the_synchronous_loader_never_blocks_an_async_worker() {
    #[derive(Clone, PartialEq, Eq, Debug)]
    struct Slow;
    impl TryFrom<&PathBuf> for Slow {
        type Error = String;
        fn try_from(_path: &PathBuf) -> Result<Self, String> {
            std::thread::sleep(Duration::from_millis(500));
            Ok(Slow)
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("slow");
    std::fs::write(&path, "slow").unwrap();
    let (service, mut rx) = ReloaderService::<FileReloader<Slow>, Slow, String>::new(
        &path.display().to_string(),
        ReloaderConfig::polling(1),
    )
    .await
    .unwrap();
    // One worker: were it blocked, the ticks would be missing.
    let loaded = tokio::spawn(async move { service.start().await });
    let mut ticks = 0;
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    loop {
        tokio::select! {
            changed = rx.changed() => break changed.unwrap(),
            _ = tick.tick() => ticks += 1,
        }
    }
    assert!(ticks > 20, "{ticks} ticks in 500 ms");
    loaded.abort();
}
