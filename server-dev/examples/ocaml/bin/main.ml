(* Takes the socket at descriptor 3, as sd_listen_fds(3) has it, and answers each request with a
   greeting. Told to end, it takes no other connection, and ends once it has answered. *)

let listener : Unix.file_descr =
  match Sys.getenv_opt "LISTEN_FDS" with
  | Some _ -> Obj.magic 3 (* a descriptor is its number *)
  | None ->
      let socket = Unix.socket PF_INET SOCK_STREAM 0 in
      Unix.setsockopt socket SO_REUSEADDR true;
      Unix.bind socket (ADDR_INET (Unix.inet_addr_loopback, 3000));
      Unix.listen socket 128;
      socket

let is_over = ref false

let answer connection =
  let request = Bytes.create 4096 in
  ignore (Unix.read connection request 0 4096);
  let text =
    Printf.sprintf "HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
      (String.length Greeting.text) Greeting.text
  in
  ignore (Unix.write_substring connection text 0 (String.length text));
  Unix.close connection

let () =
  Sys.set_signal Sys.sigterm (Signal_handle (fun _ -> is_over := true));
  Unix.set_nonblock listener;
  while not !is_over do
    match Unix.select [ listener ] [] [] (-1.) with
    | _ :: _, _, _ -> (
        (* The process that is replaced accepts from the same queue. *)
        match Unix.accept ~cloexec:true listener with
        | connection, _ ->
            Unix.clear_nonblock connection;
            answer connection
        | exception Unix.Unix_error ((EAGAIN | EWOULDBLOCK | EINTR), _, _) -> ())
    | _ -> ()
    | exception Unix.Unix_error (EINTR, _, _) -> ()
  done
