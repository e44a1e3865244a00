// A websocket client of natcoord written with the npm package `ws`. It prints what happens to it, one JSON array a line, and
// closes when stdin ends. Arguments: URL [SUBPROTOCOL...]
const WebSocket = require('ws');

const say = (...event) => process.stdout.write(JSON.stringify(event) + '\n');
const socket = new WebSocket(process.argv[2], process.argv.slice(3), {handshakeTimeout: 30000});

socket.on('open', () => { say('open', socket.extensions, socket.protocol); socket.ping('are you there'); });
socket.on('message', (data, isBinary) => say('message', isBinary, data.toString()));
socket.on('pong', data => say('pong', data.toString()));
socket.on('ping', data => say('ping', data.toString()));
socket.on('error', error => say('error', error.message));
socket.on('close', (code, reason) => { say('close', code, reason.toString()); process.exit(0); });
process.stdin.on('end', () => socket.close(1000, 'done')).resume();
