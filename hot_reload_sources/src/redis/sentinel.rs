//! Sentinels, which know where the primary of a name is.

use std::io;

use ::redis::{ProtocolVersion, RedisConnectionInfo, RedisResult, aio::MultiplexedConnection, cmd};
use futures_util::future::select_ok;
use tokio::select;

use super::{
    dial::{Server, patient},
    fault,
    reach::reach,
};
use crate::error::StoreError;

/// Those who are asked, and for whom.
pub(super) struct Sentinels {
    /// At least one.
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) primary: String,
    pub(super) is_tls: bool,
}

impl Sentinels {
    /// Asks all of them at once where the primary is: the first who knows is taken at their word.
    ///
    /// Once another is made primary, sentinels have the former end its connections, so that this is
    /// asked anew.
    /// <https://redis.io/docs/latest/develop/reference/sentinel-clients/>
    pub(super) async fn find(&self, server: &Server) -> Result<(String, u16), StoreError> {
        let all = self.hosts.iter().map(|(host, port)| Box::pin(self.ask(server, host, *port)));
        Ok(select_ok(all).await?.0)
    }

    async fn ask(
        &self,
        server: &Server,
        host: &str,
        port: u16,
    ) -> Result<(String, u16), StoreError> {
        match self.ask_as(server, host, port, RedisConnectionInfo::default()).await? {
            Err(error) if error.code() == Some("NOAUTH") => {
                let settings = server.settings(ProtocolVersion::RESP2).await?;
                self.ask_as(server, host, port, settings).await?
            }
            answer => answer,
        }
        .map_err(|error| fault::of(&error, "SENTINEL GET-MASTER-ADDR-BY-NAME"))?
        .ok_or_else(|| {
            StoreError::refused(format!(
                "the sentinel knows no {}; correct the name, or have it monitor that",
                self.primary
            ))
        })
    }

    /// Outer errors are those of the way to the sentinel, inner ones its own.
    async fn ask_as(
        &self,
        server: &Server,
        host: &str,
        port: u16,
        settings: RedisConnectionInfo,
    ) -> Result<RedisResult<Option<(String, u16)>>, StoreError> {
        let stream = reach(host, port, self.is_tls.then(|| server.access())).await?;
        let asked = async {
            let settings = settings.set_skip_set_lib_name();
            let (mut connection, driver) =
                MultiplexedConnection::new_with_config(&settings, stream, patient()).await?;
            let mut get = cmd("SENTINEL");
            get.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.primary);
            select! {
                answer = get.query_async(&mut connection) => answer,
                () = driver => Err(io::Error::from(io::ErrorKind::BrokenPipe).into()),
            }
        };
        Ok(asked.await)
    }
}
