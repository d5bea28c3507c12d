//! Does what the machine asks for.

use std::{os::unix::process::ExitStatusExt, sync::Arc, time::Duration};

use rustix::process::Signal;
use tokio::time::Instant;

use super::{Serving, Work, outcome::in_words, own_writes, start::ReadyProcess};
use crate::{
    machine::Effect,
    report::{Told, milliseconds},
};

/// What a process that is told to end may say to those who follow a stream of it, before the proxy ends
/// it.
const GOODBYE: Duration = Duration::from_millis(500);
/// What the proxy has begun may take so long before the process is told to end, where somebody waits for
/// that: it may be an answer without an end.
const WAITED_FOR: Duration = Duration::from_secs(1);

impl Work {
    pub(super) async fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Build => self.build(),
            Effect::CancelBuild => self.cancel_build(),
            Effect::Start => self.start(),
            Effect::CancelStart => self.cancel_start(),
            Effect::Switch => self.switch().await,
            Effect::Stop => self.stop(),
            Effect::Lose(pause) => self.lose(pause),
            Effect::Rest(pause) => self.backoff_until = Some(Instant::now() + pause),
            Effect::GiveUp => self.tell(Told::GaveUp),
            Effect::End => {
                let pids = self.runner.guarded.at_work();
                let within = milliseconds(*self.runner.service.grace);
                let because = self.runner.over.why();
                self.tell(Told::Ending { because, pids, milliseconds: within });
                self.cancel_build();
                self.cancel_start();
                self.stop();
                self.leaving.close();
            }
        }
    }

    fn cancel_build(&mut self) {
        let Some(building) = self.building.take() else { return };
        building.off.cancel();
        let before = self.called_off.take();
        self.called_off = Some(self.leaving.spawn(async move {
            // It has ended the process by then, and so has the one before.
            let _ = building.task.await;
            if let Some(before) = before {
                let _ = before.await;
            }
        }));
    }

    fn cancel_start(&mut self) {
        let Some(starting) = self.starting.take() else { return };
        starting.off.cancel();
        self.own_writes.is_over(own_writes::now());
        self.stopping = Some(self.leaving.spawn(async move {
            // It may have become ready in between; how it ends is no news.
            if let Ok(Ok(ready)) = starting.task.await {
                let _ = ready.running.end().await;
            }
        }));
    }

    /// Has the process serve that is ready, and drains the one before.
    async fn switch(&mut self) {
        let Some(ready) = self.ready.take() else { return };
        let ReadyProcess { mut running, notified, main, upstream, by, took } = ready;
        let since = Instant::now();
        if let Some((input, stdin)) = self.runner.input.as_ref().zip(running.stdin.take()) {
            input.connect_to(stdin);
        }
        let generation = self.publish_switch(upstream.as_ref());
        let since_save = self.saved.take().and_then(|saved| saved.elapsed().ok());
        // Whoever hears of it finds it.
        self.runner.found(|site| site.version.generation >= generation).await;
        self.tell(Told::Ready {
            pid: running.pid(),
            generation,
            by,
            milliseconds: milliseconds(took),
            since_save_milliseconds: since_save.map(milliseconds),
        });
        let heard = self.heard.take();
        let new = Serving { running, notified, main, upstream, heard, since };
        if std::mem::take(&mut self.owes_signal) {
            new.hang_up().await;
        }
        if let Some(old) = self.serving.replace(new) {
            let drained = self.drain(old, *self.runner.service.grace);
            self.leaving.spawn(drained);
        }
    }

    fn stop(&mut self) {
        self.publish_stop();
        if let Some(serving) = self.serving.take() {
            let drained = self.drain(serving, WAITED_FOR.min(*self.runner.service.grace));
            self.stopping = Some(self.leaving.spawn(drained));
        }
    }

    fn lose(&mut self, pause: Option<Duration>) {
        self.backoff_until = pause.map(|pause| Instant::now() + pause);
        if let Some(exited) = self.exited.take() {
            self.publish_crash(&exited.status, &exited.said);
            self.tell(Told::Exited {
                pid: exited.pid,
                status: exited.status,
                again_in_milliseconds: pause.map(milliseconds),
                diagnostics: exited.said.diagnostics,
            });
        }
    }

    /// Ends a process once what the proxy has begun is answered, or has had its time, and tells how it
    /// did.
    fn drain(
        &self,
        old: Serving,
        patience: Duration,
    ) -> impl Future<Output = ()> + Send + 'static + use<> {
        let runner = Arc::clone(&self.runner);
        let pid = old.running.pid();
        async move {
            if let Some(upstream) = &old.upstream {
                // Whoever asks from then on goes to the next.
                runner.found(|site| site.upstream.as_ref() != Some(upstream)).await;
                tokio::select! {
                    () = upstream.drained(patience) => {}
                    () = runner.hurry.cancelled() => {}
                }
                tokio::spawn(upstream.clone().cut_after(GOODBYE));
            }
            let status = old.running.end().await;
            let killed =
                status.as_ref().is_ok_and(|status| status.signal() == Some(Signal::KILL.as_raw()));
            let status = in_words(status);
            // Until here it may have had something to say.
            drop(old.notified);
            runner.report.tell(&runner.name, Told::Drained { pid, status, killed });
        }
    }
}
