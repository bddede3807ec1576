//! What the processes of one test are made of, and the hooks around them.

use std::sync::{Arc, Mutex};

use taskq_core::Error;
use taskq_core::broker::{Backend, Served};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::tap::lock;
use crate::about::About;
use crate::config::Config;
use crate::error::RunError;
use crate::hooks::Hooks;
use crate::limits::Limits;
use crate::serving::Serving;
use crate::worker::{Builder, Worker};

/// The node name of the test's worker, unless the test gives it another.
const NODE: &str = "test@localhost";

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) config: Config,
    /// The queues that the test named; `None`: all there are.
    pub(super) queues: Option<Vec<Served>>,
    pub(super) serving: Arc<Serving>,
    pub(super) about: Arc<About>,
    pub(super) limits: Arc<Limits>,
    hooks: Mutex<Option<Hooks>>,
    life: Mutex<Option<JoinHandle<Result<(), RunError>>>>,
}

impl Plan {
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        complete: impl FnOnce(Builder) -> Builder,
    ) -> Result<Self, Error> {
        let worker = Worker::builder().backend(Arc::clone(&backend)).node(NODE);
        // Whatever it was given, it is this broker's worker.
        let draft = complete(worker).backend(backend).draft;
        let named = !draft.queues.is_empty() || !draft.weights.is_empty();
        let mut config = draft.check()?;
        let hooks = std::mem::take(&mut config.hooks);
        let serving = Arc::new(Serving::new(&config));
        Ok(Self {
            queues: named.then(|| config.queues.clone()),
            about: Arc::new(About::new(&config, Arc::clone(&serving))),
            limits: Arc::new(Limits::new(config.limits)),
            serving,
            hooks: Mutex::new(Some(hooks)),
            life: Mutex::default(),
            config,
        })
    }

    /// Runs the hooks of the start, once.
    pub(super) async fn start(&self) {
        let Some(hooks) = lock(&self.hooks).take() else {
            return;
        };
        let (ready, begun) = oneshot::channel();
        let (state, stop) = (self.config.state.clone(), self.config.stop.clone());
        let life = tokio::spawn(async move {
            let work = async {
                // Who waits for it may have been dropped meanwhile.
                if ready.send(()).is_ok() {
                    stop.cancelled().await;
                }
                Ok(())
            };
            let tasks = Handle::current();
            hooks.around(&tasks, &state, &stop, work).await
        });
        if begun.await.is_ok() {
            *lock(&self.life) = Some(life);
            return;
        }
        match life.await {
            Ok(Err(error)) => panic!("the test's worker did not start: {error}"),
            ended => panic!("the test's worker did not start: {ended:?}"),
        }
    }

    /// Runs the hooks of the end, if those of the start have run.
    pub(super) async fn stop(&self) {
        self.config.stop.cancel();
        let life = lock(&self.life).take();
        if let Some(life) = life
            && let Err(error) = life.await
        {
            panic!("the test's worker did not stop: {error}");
        }
    }
}
