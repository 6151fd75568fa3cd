module.exports = function (name) { return 'hi ' + name }
