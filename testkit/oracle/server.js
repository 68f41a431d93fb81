// The oracle: json-server 0.8.23 with the two parameters that the upstream adds, `fields` and
// `limit`. Tests ask it and the mirror the same question and compare.
//
//   npm ci && node server.js catalogue.json      prints the port; ends when standard input closes
//
// It answers from 127.0.0.1 alone, keeps everything in memory and never writes.
'use strict'

var fs = require('fs')
var url = require('url')
var jsonServer = require('json-server')

var CAP = 250

var app = jsonServer.create()
var router = jsonServer.router(JSON.parse(fs.readFileSync(process.argv[2], 'utf8')))

function keepOnly (names, record) {
  Object.keys(record).forEach(function (name) {
    if (names.indexOf(name) === -1) delete record[name]
  })
}

// Both parameters are read from the URL and not from `req.query`: brackets mean nothing to them,
// and a repeated one arrives as a list, on which `split` and `Math.min` fail.
router.render = function (req, res) {
  var data = res.locals.data
  var asked = url.parse(req.originalUrl, true).query

  if (asked.fields) {
    var names = asked.fields.split(',')
    ;[].concat(data).forEach(keepOnly.bind(null, names))
  }
  if (asked.limit && Array.isArray(data)) {
    data.length = Math.min(asked.limit, data.length, CAP)
  }
  res.jsonp(data)
}

app.use(jsonServer.defaults({ logger: false }))
app.use(router)

var server = app.listen(0, '127.0.0.1', function () {
  console.log(server.address().port)
})
process.stdin.on('end', function () { process.exit(0) }).resume()
