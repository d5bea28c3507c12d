//! A node that says what a test wants it to, where real ones would need luck.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Answers every read alike, for as long as it is kept.
pub struct FakeNode {
    pub address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl FakeNode {
    /// Starts one that sends everybody to `other`.
    pub async fn that_names(other: SocketAddr) -> Self {
        Self::at(listener().await, format!("-MOVED 7629 {other}\r\n"))
    }

    /// Starts two that send everybody to each other.
    pub async fn two_that_name_each_other() -> [Self; 2] {
        let (one, other) = (listener().await, listener().await);
        let name = |node: &TcpListener| format!("-MOVED 7629 {}\r\n", node.local_addr().unwrap());
        let (of_one, of_other) = (name(&one), name(&other));
        [Self::at(one, of_other), Self::at(other, of_one)]
    }

    fn at(listener: TcpListener, answer: String) -> Self {
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let answer = answer.clone();
                // One that goes is none of its concern.
                clients.spawn(async move { serve(client, &answer).await.unwrap_or_default() });
            }
        });
        Self { address, _tasks: tasks }
    }
}

pub async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn serve(client: TcpStream, answer: &str) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    loop {
        let words = number(&mut client).await?;
        let mut command = String::new();
        for at in 0..words {
            let mut word = vec![0; number(&mut client).await? + 2];
            client.read_exact(&mut word).await?;
            if at == 0 {
                command = String::from_utf8_lossy(&word).trim().to_uppercase();
            }
        }
        let answer = match &*command {
            "HELLO" => "%1\r\n+server\r\n+redis\r\n",
            "GETRANGE" => answer,
            _ => "+OK\r\n",
        };
        client.write_all(answer.as_bytes()).await?;
    }
}

/// What is behind a sign at the start of a line.
async fn number(client: &mut BufReader<TcpStream>) -> std::io::Result<usize> {
    let mut line = String::new();
    client.read_line(&mut line).await?;
    line.get(1..)
        .and_then(|number| number.trim().parse().ok())
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "no length"))
}
